"""Models side by side: a page on which a browser transcribes the same recording with each.

A browser runs the models itself, with transformers.js on WebAssembly; the server only has files.
"""
