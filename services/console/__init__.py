"""Shows the shop in a browser, live: to customers, to those who work in it, and to those who operate it."""
