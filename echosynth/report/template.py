"""The templates of pages, in `templates/*.j2`: every value is escaped, and a value that is missing is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

BANNER = "Synthetic. Research only, not for diagnosis."

ENVIRONMENT = Environment(
    loader=PackageLoader("echosynth.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def load_template(name: str) -> Template:
    """Return a template by its file name, e.g. "page.html.j2"."""
    return ENVIRONMENT.get_template(name)
