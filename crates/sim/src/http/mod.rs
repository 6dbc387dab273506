//! The HTTP face: Bedrock's wire protocol in front of the engine.
