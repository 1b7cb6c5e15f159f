"""How the page looks: system fonts, one width, light and dark, and room for a thumb."""

from __future__ import annotations

import gradio as gr


# System fonts: nothing is fetched from elsewhere. Small print that can be read: contrast of 7 to 1 and more.
THEME = gr.themes.Base(
    primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["monospace"], text_size="lg", radius_size="md"
).set(
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    button_primary_background_fill="#005a8c",
    button_primary_background_fill_hover="#00476e",
    button_primary_text_color="white",
    button_primary_background_fill_dark="#56b4e9",
    button_primary_background_fill_hover_dark="#7cc5ef",
    button_primary_text_color_dark="#10161c",
)
CSS = """
.gradio-container {max-width: 1180px !important; margin: 0 auto !important}
#head h1 {font-size: 2em; margin: 0.2em 0 0.1em}
#head p {margin: 0.2em 0}
#head .machine {border-left: 6px solid #c77700; padding: 0.1em 0.8em; margin-top: 0.5em}
.alert {border-left: 6px solid #b03a2e; padding: 0.6em 1em; font-size: 1.05em}
.notes {border-left: 6px solid #c77700; padding: 0.2em 1em; margin: 0 0 0.5em}
.notes ul, .about ul {margin: 0.2em 0; padding-left: 1.2em; list-style: disc}
#skeleton {flex: 1 1 250px; min-width: 250px}
#skeleton img {width: 100%; max-width: 340px; border-radius: 8px}
#map img {max-width: 100%; border-radius: 8px}
#result .sentence {font-size: 1.6em; line-height: 1.25; margin: 0; font-weight: 600}
#result .why, #signs .said {margin: 0.2em 0 0.8em}
#result table, #signs table {width: 100%; border-collapse: collapse; border: none}
#result caption, #map figcaption {text-align: left; margin-bottom: 0.4em}
#map figure {margin: 0}
#result tr, #result th, #result td, #signs tr, #signs th, #signs td {border: none; text-align: left}
#result th, #signs th {font-weight: normal}
#result th, #result td, #signs th, #signs td {padding: 0.25em 0.5em 0.25em 0}
#result th {width: 35%; overflow-wrap: break-word}
#result td:last-child {width: 1%; white-space: nowrap}
#result .track div {height: 0.8em; background: #0072b2; border-radius: 2px}
.dark #result .track div {background: #56b4e9}
#result summary, .about summary {cursor: pointer; padding: 0.3em 0}
.empty {border: 2px dashed #8a93a0; border-radius: 12px; padding: 1.2em; display: flex; gap: 1.4em; flex-wrap: wrap}
.empty svg {width: 190px; flex: none; margin: auto}
.empty > div {flex: 1; min-width: 230px}
.empty ol {padding-left: 1.3em; list-style: decimal}
.empty .ghost {display: flex; gap: 0.7em; align-items: center; margin: 0.35em 0}
.empty .ghost span {width: 7.5em}
.empty .ghost i {height: 0.8em; background: #8a93a055; border-radius: 2px}
.about {display: grid; grid-template-columns: repeat(auto-fit, minmax(280px, 1fr)); gap: 0.9em 1.6em; margin: 0}
.about dt {font-weight: 600}
.about dd {margin: 0}
.words p {max-height: 14em; overflow: auto}
#read, #teach {min-height: 3em}
@media (max-width: 640px) {
  .gradio-container {padding: 8px !important}
  #head h1 {font-size: 1.6em}
  .empty svg {width: 120px}
}
"""
# The page knows whether it is dark; pictures are drawn to fit.
ASK_PAGE = "(...values) => [...values.slice(0, -1), document.body.classList.contains('dark')]"

_FIGURE = """<svg viewBox="0 0 120 130" role="img" aria-label="Drawing of a signing skeleton" fill="none"
 stroke-linecap="round" stroke-width="3"><g stroke="#8a93a0"><circle cx="60" cy="24" r="13"/>
<path d="M60 40V98M34 50H86"/></g><path stroke="#d55e00" d="M86 50l12 28-20 6m0 0l-9-7m9 7l-11-1m11 1l-10 6"/>
<path stroke="#0072b2" d="M34 50L22 78l16-20m0 0l-3-11m3 11l2-11m-2 11l7-8m-7 8l8-2"/></svg>"""


def empty_state(task: str, has_shares: bool) -> str:
    """What will be seen where nothing has been read yet."""
    bars = "".join(
        f'<div class="ghost"><span>{name} guess</span><i style="width: {width}%"></i></div>'
        for name, width in (("first", 46), ("second", 22), ("third", 9))
    )
    last = "The likeliest words, and how sure it is" if has_shares else "What the model makes of it"
    return (
        f'<div class="empty">{_FIGURE}<div><strong>Your answer appears here</strong><ol><li>{task}, or choose a file'
        "</li><li>Your skeleton, moving: all that the model sees of you</li>"
        f"<li>{last}, or that it is not sure</li></ol>{bars if has_shares else ''}</div></div>"
    )
