"""Takes what customers say of their orders, tells how they meant it, and sees that complaints are answered."""
