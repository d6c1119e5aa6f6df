"""What finite width does to trained networks."""

from . import heads_and_labels

RESULTS = (heads_and_labels.RESULT,)
