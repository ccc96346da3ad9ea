"""Write the generated pages, those that differ from what is there."""

import sys

from docs.generator.pages import PAGES, REFERENCE


def main() -> None:
    """Write each page and say which ones have changed."""
    for name, render in PAGES.items():
        file, text = REFERENCE / name, render()
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"written: {file}\n")


if __name__ == "__main__":
    main()
