"""What a part of a network is for, which a task asks and no name says by itself."""

from typing import Literal, Protocol

# "head": what belongs to the classes or other outputs of one task, and starts anew for
# another; "backbone": all else, which can be taken from a network trained before.
Role = Literal["backbone", "head"]


class HasRoles(Protocol):
    """A network module."""

    def role(self, module_name: str) -> Role:
        """The role of one of its modules, a key of its parameters."""
        ...
