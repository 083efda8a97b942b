"""Customer YAML to typed models, with errors that name the line."""
