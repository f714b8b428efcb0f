//! The server: reads requests, refuses what it must, hands work to the thread with the models, and passes
//! lines on as they come. A client that leaves takes its work with it. Knows HTTP; knows no model.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request as HttpRequest, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use draft::Compute;
use futures_util::stream;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::guard::Guard;
use super::limits::{BODY, Limits, Refusal};
use super::modes;
use super::page::Page;
use super::request::Request;
use super::sink::{Message, Sink};
use super::stage::{Job, Opening, start};

/// Headers of every answer beside the policy.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

struct Shared {
    guard: Guard,
    limits: Limits,
    jobs: Sender<Job>,
    permits: Arc<Semaphore>,
    about: String,
    page: Page,
    policy: HeaderValue,
}

/// A server whose models are loaded.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Server {
    /// Loads the models for a listener.
    pub fn open(
        listener: TcpListener,
        opening: Opening,
        set_up: impl FnOnce() -> Result<Compute> + Send + 'static,
        (public, names): (bool, Vec<String>),
    ) -> Result<Self> {
        let guard = Guard::new(listener.local_addr()?, public, names);
        let limits = opening.limits;
        let (jobs, about) = start(opening, set_up)?;
        let page = Page::new();
        let policy = HeaderValue::from_str(&page.policy)?;
        let permits = Arc::new(Semaphore::new(limits.at_once));
        let shared = Arc::new(Shared { guard, limits, jobs, permits, about, page, policy });
        Ok(Self { listener, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Answers until the program ends.
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let routes = Router::new()
            .route("/", get(page))
            .route("/api/about", get(about))
            .route("/api/{mode}", post(work))
            .layer(from_fn_with_state(Arc::clone(&self.shared), guarded))
            .with_state(self.shared);
        runtime.block_on(async {
            self.listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(self.listener)?;
            axum::serve(listener, routes).await.context("the server ended")
        })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = json!({"error": self.message}).to_string();
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// Refuses requests of others, and puts the headers on every answer.
async fn guarded(State(shared): State<Arc<Shared>>, request: HttpRequest, next: Next) -> Response {
    let refused = refusal(&shared.guard, request.headers());
    let mut response = match refused {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, shared.policy.clone());
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(guard: &Guard, headers: &HeaderMap) -> Option<Refusal> {
    let text = |name: HeaderName| headers.get(name).map(|own| own.to_str().unwrap_or(""));
    guard.check(text(header::HOST), text(header::ORIGIN)).err()
}

async fn page(State(shared): State<Arc<Shared>>) -> Response {
    let html = shared.page.html.clone();
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

async fn about(State(shared): State<Arc<Shared>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], shared.about.clone()).into_response()
}

async fn work(
    State(shared): State<Arc<Shared>>,
    Path(mode): Path<String>,
    request: HttpRequest,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let request = read(&mode, &parts.headers, body).await?;
    modes::check(&request, shared.limits)?;
    let permit = Arc::clone(&shared.permits);
    let permit = permit.try_acquire_owned().map_err(|_| Refusal::busy(shared.limits))?;
    let (to, mut lines) = unbounded_channel();
    let job: Job = Box::new(move |stage| {
        let mut sink = Sink::new(to);
        modes::serve(stage, &request, &mut sink);
        // Whoever has heard the end finds the place free.
        drop(permit);
        drop(sink);
    });
    let stopped = || Refusal { status: 500, message: "the work ended unexpectedly".to_owned() };
    shared.jobs.send(job).map_err(|_| stopped())?;
    match lines.recv().await {
        Some(Message::Line(first)) => Ok(streamed(first, lines)),
        Some(Message::Refused(refusal)) => Err(refusal),
        None => Err(stopped()),
    }
}

/// Reads a request as far as it may be read.
async fn read(mode: &str, headers: &HeaderMap, body: Body) -> Result<Request, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|own| own.to_str().ok());
    if kind.and_then(|own| own.split(';').next()).map(str::trim) != Some("application/json") {
        let message = "the body is to be application/json".to_owned();
        return Err(Refusal { status: 415, message });
    }
    let body = to_bytes(body, BODY).await.map_err(|_| Refusal::too_large())?;
    Request::read(mode, &body).unwrap_or_else(|| {
        Err(Refusal { status: 404, message: format!("there is no mode `{mode}`") })
    })
}

/// Lines as they come.
fn streamed(first: String, rest: UnboundedReceiver<Message>) -> Response {
    let lines = stream::unfold((Some(first), rest), |(first, mut rest)| async move {
        let line = match first {
            Some(line) => line,
            None => match rest.recv().await? {
                Message::Line(line) => line,
                Message::Refused(_) => return None,
            },
        };
        Some((Ok::<_, Infallible>(line), (None, rest)))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    (kind, Body::from_stream(lines)).into_response()
}
