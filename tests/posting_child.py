"""Posts deliveries without end, telling each id once it is queued; made to be killed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from runtime.outputs.courier import Courier
from runtime.outputs.delivery_queue import DeliveryQueue
from runtime.outputs.webhook import Webhook

if __name__ == "__main__":
    path, url, name = sys.argv[1:]
    courier = Courier(DeliveryQueue(Path(path)), Webhook(url), first_wait_s=0.01)
    number = 0
    while True:
        given = courier.post(json.dumps({"number": f"{name}-{number}"}).encode())
        sys.stdout.write(f"{given}\n")
        sys.stdout.flush()
        number += 1
        time.sleep(0.001)  # a full queue gives up its oldest, which is not what is tested here
