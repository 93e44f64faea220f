"""Four virtual devices, so that what is split over devices is tested on any machine."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
