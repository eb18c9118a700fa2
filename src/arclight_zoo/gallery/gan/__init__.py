"""Images by two networks that learn against each other."""
