"""Charts as SVG: each stands alone as a file, and fits into a page, light or dark."""
