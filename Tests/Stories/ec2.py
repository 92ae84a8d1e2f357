"""Stories of EC2 as boto3 tells them. Run by the tests of the AWS face:

  ec2.py STORY    reads {endpoint, region, zone, image, kernel, accounts, credentials, operations} as JSON; ends with 0
                  if all is well
"""

import sys

import callers
import machines
import networks

# A story is a function without parameters; one whose name is a helper's has an underscore after it.
for room in (machines, networks, callers):
    story = getattr(room, sys.argv[1] + "_", None) or getattr(room, sys.argv[1], None)
    if story is not None and story.__module__ == room.__name__:
        story()
        break
else:
    sys.exit(f"there is no story {sys.argv[1]}")
