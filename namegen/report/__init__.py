"""What people look at: pages with pictures, and tables of text."""
