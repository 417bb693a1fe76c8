//! Published orders as `.u16` files: ten seeds from 42 on, one after the other, little endian.

use super::{NodeRow, csv::read_bytes, error::TraceError};
use std::path::Path;

/// Seed of the first order of a file.
const SEED_FIRST: u64 = 42;

/// The arrival order of a seed: for each seed a 32-bit length, then so many pods.
pub(super) fn read_arrivals(path: &Path, seed: u64, pods: usize) -> Result<Vec<usize>, TraceError> {
    let bytes = read_bytes(path)?;
    let order =
        arrivals(&bytes, seed).and_then(|order| match order.iter().find(|pod| **pod >= pods) {
            Some(pod) => Err(format!(
                "it names pod {pod} and there are {pods}: take the order made for these pods"
            )),
            None => Ok(order),
        });
    order.map_err(|fix| error(path, seed, fix))
}

/// The ranks of a seed, by node sorted by name: for each seed so many ranks as there are nodes.
pub(super) fn read_rank(path: &Path, seed: u64, nodes: usize) -> Result<Vec<usize>, TraceError> {
    let bytes = read_bytes(path)?;
    let numbers = ranks(&bytes, seed, nodes);
    numbers.map_err(|fix| error(path, seed, fix))
}

/// Sorts nodes so that the least rank comes first; `rank` is a permutation.
pub(super) fn sort_by_rank(nodes: &mut Vec<NodeRow>, rank: &[usize]) {
    let mut ranked: Vec<(usize, NodeRow)> = rank.iter().copied().zip(nodes.drain(..)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    nodes.extend(ranked.into_iter().map(|(_, node)| node));
}

fn arrivals(bytes: &[u8], seed: u64) -> Result<Vec<usize>, String> {
    let mut rest = bytes;
    let mut current = SEED_FIRST;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u64::from(u32::from_le_bytes(*length));
        let end = usize::try_from(length * 2)
            .ok()
            .filter(|end| *end <= after.len());
        let end = end.ok_or_else(|| {
            format!(
                "the order for seed {current} claims {length} arrivals and the file ends before"
            )
        })?;
        if current == seed {
            return Ok(numbers(&after[..end]));
        }
        rest = &after[end..];
        current += 1;
    }
    Err(absent(current))
}

fn ranks(bytes: &[u8], seed: u64, nodes: usize) -> Result<Vec<usize>, String> {
    let size = nodes * 2;
    if bytes.is_empty() || !bytes.len().is_multiple_of(size) {
        return Err(format!(
            "it has {} bytes, no multiple of 2 for each of {nodes} nodes: take the ranks made for \
             these nodes",
            bytes.len()
        ));
    }
    let seeds = (SEED_FIRST..).zip(bytes.chunks_exact(size));
    let mut found = seeds.filter(|(number, _)| *number == seed);
    let last = SEED_FIRST + (bytes.len() / size) as u64;
    let ranks = found.next().map(|(_, chunk)| numbers(chunk));
    let ranks = ranks.ok_or_else(|| absent(last))?;
    let mut sorted = ranks.clone();
    sorted.sort_unstable();
    if sorted.into_iter().ne(0..nodes) {
        return Err(format!(
            "each rank from 0 to {} must be there once",
            nodes - 1
        ));
    }
    Ok(ranks)
}

fn absent(end: u64) -> String {
    if end == SEED_FIRST {
        return "the file is empty".to_owned();
    }
    format!("give a seed from {SEED_FIRST} to {}", end - 1)
}

fn numbers(bytes: &[u8]) -> Vec<usize> {
    let (pairs, _) = bytes.as_chunks();
    let number = |pair: &[u8; 2]| usize::from(u16::from_le_bytes(*pair));
    pairs.iter().map(number).collect()
}

fn error(path: &Path, seed: u64, fix: String) -> TraceError {
    TraceError::Order {
        path: path.to_owned(),
        seed,
        fix,
    }
}
