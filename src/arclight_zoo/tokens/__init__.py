"""Text data: tokenizers, tables and documents."""
