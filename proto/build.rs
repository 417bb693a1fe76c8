//! Compiles the schema with protox (no protoc needed) and keeps its descriptor for reflection.
use prost::Message as _;
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 5] = [
    "dovetail/v1/common.proto",
    "dovetail/v1/workload_service.proto",
    "dovetail/v1/node_service.proto",
    "dovetail/v1/agent_service.proto",
    "dovetail/v1/admin_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
