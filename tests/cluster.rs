//! Whole-cluster scenarios: the product as real processes, GPUs simulated at the C ABI.
