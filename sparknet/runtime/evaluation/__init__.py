"""Where a trained net errs: exact counts that merge in any order, so that workers can count side by side."""
