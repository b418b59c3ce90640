"""The HTML of the report page, a Jinja2 template with autoescape. Held in Python, so that no package data can be lost.

No script, no network: the content security policy in the head forbids both, whatever a caption may hold.
"""

BANNER = "Synthetic. Research only, not for diagnosis."

PAGE_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="description" content="{{ banner }}">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --faint: #59626d; --paper: #fdfdfc; --card: #f1f2f3; --line: #d5d8dc;
  --good: #1a7f37; --bad: #b3261e; --truth: #1f6fb4; --warn: #fff3cd; --warn-ink: #4d3800; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --faint: #a2aab4; --paper: #14171a; --card: #1e2226;
  --line: #363c43; --good: #57c274; --bad: #ff8a80; --truth: #7db8ec; --warn: #4d3f10; --warn-ink: #ffe9a8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .4rem 0; }
.banner { max-width: none; font-weight: 600;
  background: var(--warn); color: var(--warn-ink); padding: .5rem .8rem; border-radius: .4rem; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; margin: .8rem 0; }
figure { margin: 0; }
.tile { width: {{ tile_width }}px; background: var(--card); border-radius: .4rem; overflow: hidden;
  border-top: 4px solid var(--line); }
.tile.accepted { border-top-color: var(--good); } .tile.refused { border-top-color: var(--bad); }
.tile.truth { border-top-color: var(--truth); }
.tile img { display: block; width: 100%; height: auto; background: #000; }
.tile figcaption { padding: .4rem .6rem .6rem; font-size: .86rem; overflow-wrap: anywhere; }
.tile .head { display: flex; justify-content: space-between; gap: .5rem; font-weight: 600; }
.tile .status { font-weight: 600; white-space: nowrap; color: var(--faint); }
.accepted .status { color: var(--good); } .refused .status { color: var(--bad); }
.truth .status { color: var(--truth); }
.caption, .note, .figure figcaption { color: var(--faint); font-size: .86rem; }
.figures img { max-width: 100%; width: 30rem; height: auto; border-radius: .4rem; }
.table { overflow-x: auto; margin: 1rem 0 .2rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; } tbody th { font-weight: 400; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); color: var(--faint); font-size: .86rem; }
</style>
</head>
<body>
<header>
<p class="banner" role="note">{{ banner }}</p>
<h1>{{ title }}</h1>
<p>{{ intro }}</p>
</header>
<main>
{% for section in sections %}
<section>
<h2>{{ section.title }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% for row in section.tiles_rows %}
<div class="row">
{% for tile in row %}
<figure class="tile {{ tile.status }}">
<img src="{{ tile | data_uri }}" alt="{{ tile | alt_text }}"{{ tile | dimensions }}>
<figcaption><div class="head"><span>{{ tile.title }}</span>
<span class="status">{{ status_words[tile.status] }}</span></div>
{% if tile.caption %}<div class="caption">{{ tile.caption }}</div>{% endif %}</figcaption>
</figure>
{% endfor %}
</div>
{% endfor %}
{% for table in section.tables %}{{ table | to_html }}{% endfor %}
{% if section.figures %}<div class="row figures">
{% for figure in section.figures %}<figure class="figure"><img src="{{ figure | png_uri }}" alt="{{ figure.alt }}">
<figcaption>{{ figure.caption }}</figcaption></figure>
{% endfor %}</div>{% endif %}
</section>
{% endfor %}
</main>
<footer><p>{{ footer }}</p></footer>
</body>
</html>
"""
