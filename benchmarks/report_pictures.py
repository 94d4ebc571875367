"""Pictures of a report as a browser shows it, for docs/report.md: on a screen, in the dark, on a phone and on paper.

    archsearch report --out report.html
    python benchmarks/report_pictures.py report.html [--out docs/pictures]

Needs Playwright and a Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

_COLORS = 160  # of a picture: letters and lines need no more, and it is less than half the size
PAPER_PX = (695, 1009)  # A4 less the margins of plots/page.css, at 96 pixels an inch
VIEWS = {
    "report.png": {"viewport": {"width": 1400, "height": 860}},
    "report_dark.png": {"viewport": {"width": 1400, "height": 860}, "color_scheme": "dark"},
    "report_phone.png": {"viewport": {"width": 400, "height": 1100}},
    "report_printed.png": {"viewport": {"width": PAPER_PX[0], "height": PAPER_PX[1]}, "device_scale_factor": 1.5},
}


def main() -> None:
    """Open the page once for each view, and take what is seen first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    given = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    given.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, view in VIEWS.items():
            page = browser.new_context(**view).new_page()
            page.goto(given.page.resolve().as_uri())
            page.wait_for_selector("#network h3")
            if name == "report_printed.png":
                page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
                page.emulate_media(media="print")
            seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            few = seen.quantize(_COLORS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(given.out / name, optimize=True)
            print(f"wrote {given.out / name}")
        browser.close()


if __name__ == "__main__":
    main()
