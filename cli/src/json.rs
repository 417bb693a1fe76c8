//! Canonical protobuf JSON of any message, from the compiled schema: what grpcurl prints too.

use crate::error::CliError;
use dovetail_proto::DESCRIPTOR;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde::Deserializer;

/// The JSON of a message, indented.
pub(crate) fn text(message: &impl Message, name: &str) -> Result<String, CliError> {
    let mut dynamic = DynamicMessage::new(descriptor(name)?);
    dynamic
        .transcode_from(message)
        .map_err(|error| CliError::failure(format!("failed to print {name}: {error}")))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut out = serde_json::Serializer::pretty(Vec::new());
    dynamic
        .serialize_with_options(&mut out, &options)
        .map_err(|error| CliError::failure(format!("failed to print {name}: {error}")))?;
    Ok(String::from_utf8_lossy(&out.into_inner()).into_owned())
}

/// A message from any self-describing format, with the schema's field names.
pub(crate) fn read<'de, M, D>(source: D, name: &str) -> Result<M, String>
where
    M: Message + Default,
    D: Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    let descriptor = descriptor(name).map_err(|error| error.to_string())?;
    let dynamic =
        DynamicMessage::deserialize(descriptor, source).map_err(|error| error.to_string())?;
    dynamic.transcode_to().map_err(|error| error.to_string())
}

fn descriptor(name: &str) -> Result<MessageDescriptor, CliError> {
    let pool = DescriptorPool::decode(DESCRIPTOR)
        .map_err(|error| CliError::failure(format!("the compiled schema is damaged: {error}")))?;
    pool.get_message_by_name(&format!("dovetail.v1.{name}"))
        .ok_or_else(|| CliError::failure(format!("the schema has no message {name}")))
}
