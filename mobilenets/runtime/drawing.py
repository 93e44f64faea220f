"""How text is drawn in every picture."""

import matplotlib

# For a function that draws names, to decorate it: a $ in one is a letter, not the start
# of a formula, which may end a run as it is parsed.
as_text = matplotlib.rc_context({"text.parse_math": False})
