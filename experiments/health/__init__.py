"""What `segdepth doctor` looks at.

Modules here import the suite and heavy libraries only inside functions: a machine on which one of them is broken is the
very one that needs the doctor.
"""

from experiments.health.section import Problem, Section, bounded

__all__ = ["Problem", "Section", "bounded"]
