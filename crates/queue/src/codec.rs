use std::{fmt, future::Future, marker::PhantomData};

use bytes::Bytes;
use tower_bedrock_core::BoxError;

use crate::Message;

/// How a message becomes a request, and a response the result that is kept.
///
/// [`codec_fn`] makes one of two closures. Implement it to read a response that comes in pieces, or to keep what
/// an error says with the dead letter.
pub trait Codec {
    /// What the service is called with.
    type Request;
    /// What it answers with.
    type Response;
    /// What it fails with.
    type Error;

    /// Makes a request of a message.
    ///
    /// # Errors
    ///
    /// The message cannot be read. It is set aside at once: no other attempt would mend it.
    fn request(&self, message: &Message) -> Result<Self::Request, BoxError>;

    /// Makes a result of a response.
    ///
    /// # Errors
    ///
    /// With a [`Fault`](tower_bedrock_core::Fault) among its sources it counts as a failed call (a stream that
    /// broke off); any other sets the message aside, because a paid answer that cannot be read would be paid for
    /// again and again.
    fn result(
        &self,
        message: &Message,
        response: Self::Response,
    ) -> impl Future<Output = Result<Bytes, BoxError>> + Send;

    /// What is kept of an error with a [dead letter](crate::DeadLetter::detail), beside the name of its exception.
    fn detail(&self, error: Self::Error) -> Option<Bytes> {
        drop(error);
        None
    }
}

/// A [`Codec`] of two closures. Made by [`codec_fn`].
pub struct CodecFn<D, E, Request, Response, Error> {
    decode: D,
    encode: E,
    types: PhantomData<fn(Response, Error) -> Request>,
}

/// A [`Codec`] of two closures: one makes a request of a message, the other a result of a response.
///
/// The first lines of [the crate's documentation](crate) have one.
pub const fn codec_fn<D, E, Request, Response, Error>(
    decode: D,
    encode: E,
) -> CodecFn<D, E, Request, Response, Error>
where
    D: Fn(&Message) -> Result<Request, BoxError>,
    E: Fn(Response) -> Result<Bytes, BoxError>,
{
    let types = PhantomData;
    CodecFn {
        decode,
        encode,
        types,
    }
}

impl<D, E, Request, Response, Error> Codec for CodecFn<D, E, Request, Response, Error>
where
    D: Fn(&Message) -> Result<Request, BoxError>,
    E: Fn(Response) -> Result<Bytes, BoxError>,
{
    type Request = Request;
    type Response = Response;
    type Error = Error;

    fn request(&self, message: &Message) -> Result<Request, BoxError> {
        (self.decode)(message)
    }

    fn result(
        &self,
        _: &Message,
        response: Response,
    ) -> impl Future<Output = Result<Bytes, BoxError>> + Send {
        std::future::ready((self.encode)(response))
    }
}

// Not derived: that would ask the three types too.
impl<D: Clone, E: Clone, Request, Response, Error> Clone
    for CodecFn<D, E, Request, Response, Error>
{
    fn clone(&self) -> Self {
        Self {
            decode: self.decode.clone(),
            encode: self.encode.clone(),
            types: PhantomData,
        }
    }
}

impl<D, E, Request, Response, Error> fmt::Debug for CodecFn<D, E, Request, Response, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecFn").finish_non_exhaustive()
    }
}
