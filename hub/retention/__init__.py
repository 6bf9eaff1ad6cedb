"""The rules of retention at work: plan, run, proof, verify."""
