"""Networks as plain data: specs, the papers' tables, exact counts, scaling. No JAX."""
