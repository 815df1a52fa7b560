"""One small file for each method of the language server protocol; `server.app` is the table of them."""
