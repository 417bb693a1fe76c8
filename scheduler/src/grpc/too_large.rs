//! Gives messages that are too large the status that the contract promises.

use super::status;
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tonic::{Code, Status};
use tower::{Layer, Service};

/// tonic answers a message above the limit with OUT_OF_RANGE; the contract, and gRPC elsewhere,
/// with RESOURCE_EXHAUSTED. No service here uses OUT_OF_RANGE for anything else.
#[derive(Debug, Clone, Copy)]
pub(super) struct TooLargeLayer;

impl<S> Layer<S> for TooLargeLayer {
    type Service = TooLarge<S>;
    fn layer(&self, inner: S) -> TooLarge<S> {
        TooLarge(inner)
    }
}

/// The service around every other.
#[derive(Debug, Clone)]
pub(super) struct TooLarge<S>(S);

type Answer<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, B, C> Service<tonic::codegen::http::Request<B>> for TooLarge<S>
where
    S: Service<tonic::codegen::http::Request<B>, Response = tonic::codegen::http::Response<C>>,
    S::Future: Send + 'static,
    C: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: tonic::codegen::http::Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let response = answer.await?;
            match Status::from_header_map(response.headers()) {
                Some(old) if old.code() == Code::OutOfRange => {
                    Ok(status::too_large(old.message()).into_http())
                }
                _ => Ok(response),
            }
        })
    }
}
