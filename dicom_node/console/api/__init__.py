"""What the console shows and does, for programs: JSON, bearer tokens, an OpenAPI description."""
