"""The documentation: pages in Markdown, the program that writes the reference, and the site."""
