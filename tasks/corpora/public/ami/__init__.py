"""AMI, recorded meetings: the annotations as released, and the segments on the Hub."""
