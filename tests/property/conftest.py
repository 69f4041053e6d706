"""How hypothesis searches: the same examples in every run, unless asked to look for new ones.

``HYPOTHESIS_PROFILE=explore`` searches at random and longer; ``mutation`` does not look for the
smallest failing example, which takes most of the time when a test is expected to fail.
"""

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

sys.path.insert(0, str(Path(__file__).parent))  # the state machine is spread over modules

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much]

settings.register_profile(
    "ci", deadline=None, derandomize=True, database=None, suppress_health_check=QUIET
)
settings.register_profile("explore", settings.get_profile("ci"), derandomize=False)
settings.register_profile(
    "mutation", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
