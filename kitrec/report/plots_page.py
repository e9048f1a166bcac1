"""Page template of `dvc plots show` with an embedded chart library, so that it works without a network.

DVC's own template loads Vega from a public server; here the library is the one bundled with vl-convert."""

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
    """Write the template that `dvc config plots.html_template` names."""
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")
    page = _PAGE.replace("{{", "{").replace("}}", "}").replace("{library}", library)
    with files.atomic(path) as draft:
        draft.write_text(page, encoding="utf-8")
