"""The router: rules say which events go where, and in which shape."""
