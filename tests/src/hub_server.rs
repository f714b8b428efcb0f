//! The Hub on the loopback: answers as huggingface.co does, on one port for the Hub and another for
//! the host that keeps large files; a thread a connection. Faults are set by the name of a file and
//! happen at once or always, never by chance. Logs every request.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::hub_repository::{Access, GOOD_TOKEN, HubFile, HubRepository};

/// A client that waits for longer than this waits for nothing.
const LONGEST_HOLD: Duration = Duration::from_secs(20);

/// What goes wrong with the bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends behind so many bytes of an answer, once.
    CutOnce(usize),
    /// It does so every time.
    CutAlways(usize),
    /// The bytes are others, once.
    WrongOnce,
    /// They are so every time.
    WrongAlways,
    /// A range is answered with the whole.
    NoRanges,
    /// The Hub answers 429 so many times, with `Retry-After` in seconds.
    TooMany(u32, u64),
}

/// A request as it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Whether it came to the host of large files.
    pub is_cdn: bool,
    pub method: String,
    pub path: String,
    pub query: String,
    pub range: Option<String>,
    pub token: Option<String>,
}

/// Files of a page of a repository's tree.
const PAGE: usize = 3;

struct State {
    repositories: Vec<HubRepository>,
    url: String,
    cdn: String,
    faults: Mutex<Vec<(String, Fault)>>,
    log: Mutex<Vec<Request>>,
    held: Mutex<BTreeSet<String>>,
    released: Condvar,
}

/// A running Hub.
pub struct HubServer {
    pub url: String,
    state: Arc<State>,
}

impl HubServer {
    #[must_use]
    pub fn start(repositories: Vec<HubRepository>) -> Self {
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let url = address(&hub);
        let state = Arc::new(State {
            repositories,
            url: url.clone(),
            cdn: address(&cdn),
            faults: Mutex::default(),
            log: Mutex::default(),
            held: Mutex::default(),
            released: Condvar::new(),
        });
        for (listener, is_cdn) in [(hub, false), (cdn, true)] {
            let state = Arc::clone(&state);
            thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let state = Arc::clone(&state);
                    thread::spawn(move || state.serve(&stream, is_cdn));
                }
            });
        }
        Self { url, state }
    }

    /// Sets a fault of a file.
    pub fn fault(&self, name: &str, fault: Fault) {
        self.state.faults.lock().unwrap().push((name.to_owned(), fault));
    }

    /// Takes all faults away.
    pub fn mend(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// Lets the bytes of a large file wait until they are released.
    pub fn hold(&self, name: &str) {
        self.state.held.lock().unwrap().insert(name.to_owned());
    }

    pub fn release(&self, name: &str) {
        self.state.held.lock().unwrap().remove(name);
        self.state.released.notify_all();
    }

    pub fn log(&self) -> Vec<Request> {
        self.state.log.lock().unwrap().clone()
    }

    /// Requests for the bytes of a file, at the host that has them.
    pub fn transfers(&self, name: &str) -> Vec<Request> {
        let file = self.state.files().find(|file| file.name == name).unwrap();
        let end = if file.is_large() { file.etag() } else { name.to_owned() };
        let has = |request: &Request| {
            request.method == "GET"
                && request.is_cdn == file.is_large()
                && !request.path.contains("/resolve/")
                && request.path.ends_with(&end)
        };
        self.log().into_iter().filter(has).collect()
    }
}

/// An answer: its status, its headers, its body, and where the connection is cut.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
}

impl Answer {
    fn new(status: u16, headers: Vec<(&'static str, String)>) -> Self {
        Self { status, headers, body: Vec::new(), cut: None }
    }

    fn refusal(status: u16, code: &str, message: &str) -> Self {
        let pairs = [("X-Error-Code", code), ("X-Error-Message", message)];
        let given = pairs.into_iter().filter(|(_, text)| !text.is_empty());
        Self::new(status, given.map(|(name, text)| (name, text.to_owned())).collect())
    }

    fn write(&self, mut stream: &TcpStream, has_body: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {}\r\n\r\n", self.body.len());
        stream.write_all(head.as_bytes())?;
        if has_body {
            let end = self.cut.unwrap_or(usize::MAX).min(self.body.len());
            stream.write_all(&self.body[..end])?;
        }
        stream.flush()
    }
}

impl State {
    fn serve(&self, stream: &TcpStream, is_cdn: bool) {
        let Some(request) = read(stream, is_cdn) else { return };
        self.log.lock().unwrap().push(request.clone());
        let answer = if is_cdn { self.cdn(&request) } else { self.hub(&request) };
        // A client that is gone has read what it wanted.
        let _ = answer.write(stream, request.method != "HEAD");
    }

    fn files(&self) -> impl Iterator<Item = &HubFile> {
        self.repositories.iter().flat_map(|repository| &repository.commits).flat_map(|c| &c.2)
    }

    fn cdn(&self, request: &Request) -> Answer {
        let digest = request.path.trim_start_matches('/');
        let Some(file) = self.files().find(|file| file.is_large() && file.etag() == digest) else {
            return Answer::new(403, Vec::new());
        };
        let held = self.held.lock().unwrap();
        let is_held = |held: &mut BTreeSet<String>| held.contains(&file.name);
        drop(self.released.wait_timeout_while(held, LONGEST_HOLD, is_held));
        self.bytes(file, request)
    }

    fn hub(&self, request: &Request) -> Answer {
        let path = request.path.trim_start_matches('/');
        if let Some(rest) = path.strip_prefix("api/resolve-cache/") {
            return self.small(rest, request);
        }
        let path = path.trim_start_matches("api/").trim_start_matches("models/");
        let (is_dataset, path) = kind(path);
        let parts: Vec<&str> = path.splitn(5, '/').collect();
        let [organisation, name, rest @ ..] = &parts[..] else {
            return Answer::refusal(404, "", "Not Found");
        };
        let id = format!("{organisation}/{name}");
        if let Some(new) = self.repositories.iter().find(|r| r.former_id.as_ref() == Some(&id)) {
            let location = request.path.replace(&id, &new.id);
            return Answer::new(307, vec![("Location", location)]);
        }
        let found = self.repository(is_dataset, &id);
        let Some(repository) = found.filter(|r| r.is_known_to(request.token.as_deref())) else {
            if request.token.is_some() {
                return Answer::refusal(404, "RepoNotFound", "Repository not found");
            }
            return Answer::refusal(401, "", "Invalid username or password.");
        };
        match rest {
            [] => info(repository, "main"),
            ["revision", revision] => info(repository, &revision.replace("%2F", "/")),
            ["revision", revision, rest] => info(repository, &format!("{revision}/{rest}")),
            ["tree", commit] => self.tree(repository, commit, request),
            ["resolve", revision, file] => self.resolve(repository, revision, file, request),
            _ => Answer::refusal(404, "", "Not Found"),
        }
    }

    fn repository(&self, is_dataset: bool, id: &str) -> Option<&HubRepository> {
        self.repositories.iter().find(|found| found.id == id && found.is_dataset == is_dataset)
    }

    /// A page of the files and folders of a commit.
    fn tree(&self, repository: &HubRepository, commit: &str, request: &Request) -> Answer {
        let files = &repository.by_revision(commit).unwrap().2;
        let folders: BTreeSet<&str> =
            files.iter().filter_map(|file| Some(file.name.rsplit_once('/')?.0)).collect();
        let folders = folders.into_iter().map(|path| json!({"type": "directory", "path": path}));
        let files = files.iter().map(|file| {
            json!({"type": "file", "path": file.name, "size": file.bytes.len(), "oid": file.etag()})
        });
        let entries: Vec<_> = folders.chain(files).collect();
        let begin = request.query.strip_prefix("recursive=true").unwrap();
        let begin = begin.strip_prefix("&cursor=").map_or(0, |number| number.parse().unwrap());
        let page = &entries[begin..entries.len().min(begin + PAGE)];
        let next = begin + page.len();
        let link = format!("<{}{}?recursive=true&cursor={next}>", self.url, request.path);
        let link = ("Link", format!("{link}; rel=\"next\""));
        let headers = if next < entries.len() { vec![link] } else { Vec::new() };
        Answer { body: json!(page).to_string().into(), ..Answer::new(200, headers) }
    }

    fn resolve(
        &self,
        repository: &HubRepository,
        revision: &str,
        name: &str,
        request: &Request,
    ) -> Answer {
        if repository.access == Access::Gated && request.token.as_deref() != Some(GOOD_TOKEN) {
            let status = if request.token.is_some() { 403 } else { 401 };
            return Answer::refusal(status, "GatedRepo", "Access to this model is restricted.");
        }
        let Some((_, commit, files)) = repository.by_revision(revision) else {
            return Answer::refusal(404, "RevisionNotFound", "Invalid rev id");
        };
        let Some(file) = files.iter().find(|file| file.name == name) else {
            return Answer::refusal(404, "EntryNotFound", "Entry not found");
        };
        if let Some(after) = self.too_many(name) {
            return Answer::new(429, vec![("Retry-After", after.to_string())]);
        }
        let mut headers = vec![
            ("X-Repo-Commit", commit.clone()),
            ("Accept-Ranges", "bytes".to_owned()),
            ("X-Linked-Etag", format!("\"{}\"", file.etag())),
            ("X-Linked-Size", file.bytes.len().to_string()),
        ];
        if file.is_large() {
            let location = format!("{}/{}?signature=secret", self.cdn, file.etag());
            headers.push(("Location", location));
            return Answer::new(302, headers);
        }
        let (id, kind) =
            (&repository.id, if repository.is_dataset { "datasets" } else { "models" });
        headers.push(("Location", format!("/api/resolve-cache/{kind}/{id}/{commit}/{name}")));
        Answer::new(307, headers)
    }

    fn small(&self, path: &str, request: &Request) -> Answer {
        let (is_dataset, path) = kind(path.trim_start_matches("models/"));
        let [organisation, name, commit, file] = path.splitn(4, '/').collect::<Vec<_>>()[..] else {
            return Answer::refusal(404, "", "Not Found");
        };
        let repository = self.repository(is_dataset, &format!("{organisation}/{name}")).unwrap();
        let files = &repository.by_revision(commit).unwrap().2;
        let mut answer =
            self.bytes(files.iter().find(|found| found.name == file).unwrap(), request);
        answer.headers.push(("X-Repo-Commit", commit.to_owned()));
        answer
    }

    fn bytes(&self, file: &HubFile, request: &Request) -> Answer {
        let fault = self.take_fault(&file.name, request.method == "GET");
        let mut bytes = file.bytes.clone();
        if matches!(fault, Some(Fault::WrongOnce | Fault::WrongAlways)) {
            for byte in &mut bytes {
                *byte ^= 1;
            }
        }
        let begin =
            request.range.as_ref().filter(|_| fault != Some(Fault::NoRanges)).map(|range| {
                let number = range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap();
                number.parse::<usize>().unwrap()
            });
        let mut headers = vec![("ETag", format!("\"{}\"", file.etag()))];
        let status = match begin {
            Some(begin) if begin >= bytes.len() => return Answer::new(416, headers),
            Some(begin) => {
                let (last, size) = (bytes.len() - 1, bytes.len());
                headers.push(("Content-Range", format!("bytes {begin}-{last}/{size}")));
                bytes.drain(..begin);
                206
            }
            None => 200,
        };
        let cut = match fault {
            Some(Fault::CutOnce(at) | Fault::CutAlways(at)) => Some(at),
            _ => None,
        };
        Answer { body: bytes, cut, ..Answer::new(status, headers) }
    }

    /// The fault of a transfer; one that happens once is gone then.
    fn take_fault(&self, name: &str, is_transfer: bool) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let is_meant = |(file, fault): &(String, Fault)| {
            file == name && !matches!(fault, Fault::TooMany(..)) && is_transfer
        };
        let place = faults.iter().position(is_meant)?;
        let fault = faults[place].1;
        if matches!(fault, Fault::CutOnce(_) | Fault::WrongOnce) {
            faults.remove(place);
        }
        Some(fault)
    }

    fn too_many(&self, name: &str) -> Option<u64> {
        let mut faults = self.faults.lock().unwrap();
        faults.iter_mut().find_map(|(file, fault)| match fault {
            Fault::TooMany(times, after) if file == name && *times > 0 => {
                *times -= 1;
                Some(*after)
            }
            _ => None,
        })
    }
}

/// Whether a path is one of datasets, and the rest of it.
fn kind(path: &str) -> (bool, &str) {
    path.strip_prefix("datasets/").map_or((false, path), |rest| (true, rest))
}

/// What the API says of a repository.
fn info(repository: &HubRepository, revision: &str) -> Answer {
    let Some((_, commit, files)) = repository.by_revision(revision) else {
        return Answer::refusal(404, "RevisionNotFound", "Invalid rev id");
    };
    let names = files.iter().map(|file| json!({"rfilename": file.name}));
    let siblings: Vec<_> = names.collect();
    let body = json!({"id": repository.id, "sha": commit, "siblings": siblings,
        "gated": repository.access == Access::Gated});
    Answer { body: body.to_string().into(), ..Answer::new(200, Vec::new()) }
}

fn read(stream: &TcpStream, is_cdn: bool) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut request = Request { is_cdn, method, path, query, ..Request::default() };
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        match name.to_lowercase().as_str() {
            "range" => request.range = Some(value.to_owned()),
            "authorization" => {
                request.token = Some(value.trim_start_matches("Bearer ").to_owned());
            }
            _ => {}
        }
    }
    Some(request)
}
