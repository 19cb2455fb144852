"""Which kubectl programs clients' tests use: RINGFENCE_KUBECTL, separated by ':', or the path's."""

import os
import shutil

#: Those that were named.
NAMED = [p for p in os.environ.get("RINGFENCE_KUBECTL", "").split(":") if p]
_found = shutil.which("kubectl")
PROGRAMS = NAMED or ([_found] if _found else [])
