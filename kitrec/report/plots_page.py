"""The page of `dvc plots show`, with its chart library inside: it also works without a network.

DVC's own page loads Vega from a public server. Here the library comes from vl-convert, which bundles it."""

from pathlib import Path

import vl_convert

from kitrec.core import files

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  {refresh_tag}
  <title>kitrec plots</title>
  <style>
    :root {{ color-scheme: light dark; }}
    body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem;
           background: Canvas; color: CanvasText; }}
    body > div {{ background: #fff; border-radius: 6px; padding: 1rem; margin: 1rem 0; overflow-x: auto; }}
    table {{ border-collapse: collapse; }}
    td, th {{ padding: .3rem .8rem; border-bottom: 1px solid #ddd; text-align: left; }}
  </style>
  <script>{library}</script>
</head>
<body>
  <h1>kitrec plots</h1>
  {plot_divs}
</body>
</html>
"""


def write_plots_page(path: Path) -> None:
    """Write the template `dvc config plots.html_template` points at."""
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    page = _PAGE.replace("{{", "{").replace("}}", "}").replace("{library}", library)
    with files.atomic(path) as draft:
        draft.write_text(page, encoding="utf-8")
