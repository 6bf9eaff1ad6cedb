"""Open a door over HTTP and wait until its sensor has seen it open. Needs nothing but Python.

python examples/open_door.py http://127.0.0.1:8080 locker-01 3 "Hand-over of parcel 17"
"""

import json
import os
import sys
import urllib.error
import urllib.request
from uuid import uuid4


def open_door(hub: str, locker: str, door: int, reason: str, token: str | None = None) -> dict[str, object]:
    """Return the command as it ended, or a problem (RFC 9457). The key makes a second attempt the same command."""
    request = urllib.request.Request(
        f"{hub}/api/v1/lockers/{locker}/commands?wait=opened",
        json.dumps({"kind": "open", "door": door, "reason": reason}).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())},
    )
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            said: dict[str, object] = json.load(answer)
    except urllib.error.HTTPError as refusal:
        said = json.load(refusal)
    return said


if __name__ == "__main__":
    hub, locker, door, reason = sys.argv[1:5]
    said = open_door(hub, locker, int(door), reason, os.environ.get("HUB_TOKEN"))
    # What counts is the sensor (`closed`: it opened, and is shut again): a pulse that was sent proves no open door.
    print(said.get("outcome") or said.get("code") or said["state"], said.get("detail") or "")
    sys.exit(said.get("outcome") not in {"opened", "closed"})
