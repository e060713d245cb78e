"""What the shop learns from its visitors: questions grouped by meaning, and drafts of entries."""
