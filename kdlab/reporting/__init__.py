"""What runs found, side by side: evidence from result files, its figures, and the page that shows them."""
