"""Text: tokenizers, tables, documents."""
