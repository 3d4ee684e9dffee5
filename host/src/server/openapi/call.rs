//! One call, as it is described.

use super::super::refusal;
use crate::problem::{ProblemDocument, ProblemType};
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{AllOfBuilder, AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, HttpMethod, Ref, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};

/// What any request may come to, before its call is looked at or while it is.
const ALWAYS: [ProblemType; 6] = [
    ProblemType::InvalidRequest,
    ProblemType::RequestTimeout,
    ProblemType::HeadTooLarge,
    ProblemType::Internal,
    ProblemType::Unavailable,
    ProblemType::Overloaded,
];

/// A call in the making.
pub(super) struct Call {
    method: HttpMethod,
    path: String,
    operation: OperationBuilder,
    sockets: &'static [&'static str],
    problems: Vec<ProblemType>,
    failure: Option<RefOr<Schema>>,
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Call {
    pub(super) fn get(path: impl Into<String>, id: &str, tag: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Get, path, id, tag, summary)
    }

    pub(super) fn post(path: impl Into<String>, id: &str, tag: &str, summary: &str) -> Self {
        Self::new(HttpMethod::Post, path, id, tag, summary)
    }

    fn new(method: HttpMethod, path: impl Into<String>, id: &str, tag: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary));
        let call = Self {
            method,
            path: path.into(),
            operation,
            sockets: &["hook", "admin"],
            problems: ALWAYS.to_vec(),
            failure: None,
            schemas: BTreeMap::new(),
        };
        call.knows::<ProblemDocument>()
    }

    /// Only for admins.
    pub(super) fn admin(mut self) -> Self {
        self.sockets = &["admin"];
        self.problem(ProblemType::NotAllowed)
    }

    pub(super) fn described(mut self, text: &str) -> Self {
        self.operation = self.operation.description(Some(text));
        self
    }

    /// Part of the path.
    pub(super) fn at(self, name: &str, text: &str) -> Self {
        self.parameter(name, ParameterIn::Path, text, String::schema(), Required::True)
    }

    /// A parameter of the query.
    pub(super) fn query(self, name: &str, text: &str, schema: RefOr<Schema>) -> Self {
        self.parameter(name, ParameterIn::Query, text, schema, Required::False)
    }

    pub(super) fn header(self, name: &str, text: &str, schema: RefOr<Schema>) -> Self {
        self.parameter(name, ParameterIn::Header, text, schema, Required::False)
    }

    fn parameter(
        mut self,
        name: &str,
        place: ParameterIn,
        text: &str,
        schema: RefOr<Schema>,
        required: Required,
    ) -> Self {
        let parameter: Parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(text))
            .schema(Some(schema))
            .build();
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// The body of the request.
    pub(super) fn body(mut self, name: &str, schema: RefOr<Schema>) -> Self {
        let content = ContentBuilder::new().schema(Some(reference(name))).build();
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content("application/json", content);
        self.operation = self.operation.request_body(Some(body.build()));
        self.schemas.insert(name.to_owned(), schema);
        self.problem(ProblemType::UnsupportedMediaType).problem(ProblemType::TooLarge)
    }

    /// Types that the body of the request is made of.
    pub(super) fn made_of<T: ToSchema>(mut self) -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        self.schemas.extend(schemas);
        self
    }

    /// An answer that is one value of a type.
    pub(super) fn answers<T: ToSchema>(mut self, text: &str) -> Self {
        self = self.knows::<T>();
        self.answer("200", text, "application/json", reference(&T::name()))
    }

    /// An answer that is a page of a list.
    pub(super) fn pages<T: ToSchema>(mut self, text: &str) -> Self {
        let name = format!("{}Page", T::name());
        let items = ArrayBuilder::new().items(reference(&T::name())).description(Some("The rows."));
        let page = ObjectBuilder::new()
            .description(Some("One page of a list. It may be short, and have a next one all the same."))
            .property("items", items)
            .property(
                "next",
                crate::words::described(
                    String::schema(),
                    "`before` (`after`, for services) of the next page; absent on the last one.",
                ),
            )
            .required("items");
        self = self.knows::<T>();
        let place = reference(&name);
        self.schemas.insert(name, page.into());
        self.answer("200", text, "application/json", place)
    }

    pub(super) fn answer(mut self, status: &str, text: &str, media_type: &str, schema: RefOr<Schema>) -> Self {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new().description(text).content(media_type, content);
        self.operation = self.operation.response(status, response.build());
        self
    }

    /// An answer that goes on: server-sent events, each with its name and what its data is.
    pub(super) fn streams(mut self, text: &str, events: &[(&str, Cow<'static, str>)]) -> Self {
        let content = ContentBuilder::new().schema(Some(String::schema())).build();
        let events: serde_json::Map<_, _> =
            events.iter().map(|(event, schema)| ((*event).to_owned(), json!(reference(schema)))).collect();
        let events: Extensions = [("x-events".to_owned(), json!(events))].into_iter().collect();
        let response =
            ResponseBuilder::new().description(text).content("text/event-stream", content).extensions(Some(events));
        self.operation = self.operation.response("200", response.build());
        self.header("Last-Event-ID", "The last event that was seen of an earlier stream.", String::schema())
            .problem(ProblemType::TooManyStreams)
    }

    /// An answer without a body.
    pub(super) fn ends(mut self, status: &str, text: &str) -> Self {
        self.operation = self.operation.response(status, ResponseBuilder::new().description(text).build());
        self
    }

    /// An operation that is not over.
    pub(super) fn later<T: ToSchema>(mut self, text: &str) -> Self {
        self = self.knows::<T>();
        let content = ContentBuilder::new().schema(Some(reference(&T::name()))).build();
        let mut response = ResponseBuilder::new().description(text).content("application/json", content);
        for (name, text, schema) in [
            ("Location", "Where the operation is.", String::schema()),
            ("Retry-After", "When to ask again, in seconds.", u64::schema()),
            ("Preference-Applied", "Which wait was kept to.", String::schema()),
        ] {
            response = response.header(name, HeaderBuilder::new().description(Some(text)).schema(Some(schema)).build());
        }
        self.operation = self.operation.response("202", response.build());
        self
    }

    /// A refusal that this call knows beside those of every call.
    pub(super) fn problem(mut self, problem: ProblemType) -> Self {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
        self
    }

    pub(super) fn problems(self, problems: &[ProblemType]) -> Self {
        problems.iter().fold(self, |call, problem| call.problem(*problem))
    }

    /// Hooks fail with a problem that says more than others.
    pub(super) fn fails<T: ToSchema>(mut self) -> Self {
        self = self.knows::<T>();
        self.failure = Some(reference(&T::name()));
        self.problems(&[ProblemType::HookFailed, ProblemType::HookCancelled])
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What the call's own types are.
    pub(super) fn schemas(&self) -> impl Iterator<Item = (String, RefOr<Schema>)> + use<> {
        self.schemas.clone().into_iter()
    }

    /// Refusals that many calls have in common.
    pub(super) fn shared_responses(&self) -> impl Iterator<Item = (String, Response)> + '_ {
        self.by_status().into_values().map(|problems| (shared_name(&problems), self.refusal(&problems)))
    }

    pub(super) fn item(self) -> PathItem {
        let mut operation = self.operation;
        let by_status = by_status(&self.problems);
        for (status, problems) in by_status {
            let name = format!("#/components/responses/{}", shared_name(&problems));
            operation = operation.response(status.to_string(), RefOr::Ref(Ref::new(name)));
        }
        let sockets: Extensions = [("x-sockets".to_owned(), json!(self.sockets))].into_iter().collect();
        PathItem::new(self.method, operation.extensions(Some(sockets)).build())
    }

    fn by_status(&self) -> BTreeMap<u16, Vec<ProblemType>> {
        by_status(&self.problems)
    }

    fn refusal(&self, problems: &[ProblemType]) -> Response {
        let is_failure = |kind: &ProblemType| matches!(kind, ProblemType::HookFailed | ProblemType::HookCancelled);
        let (failures, others): (Vec<ProblemType>, Vec<ProblemType>) =
            problems.iter().partition(|kind| is_failure(kind));
        let mut choices = Vec::new();
        if !others.is_empty() {
            choices.push(of_types(reference(&ProblemDocument::name()), &others));
        }
        if let Some(failure) = self.failure.clone().filter(|_| !failures.is_empty()) {
            choices.push(of_types(failure, &failures));
        }
        let schema = match choices.len() {
            1 => choices.remove(0),
            _ => choices.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).into(),
        };
        let words: Vec<String> = problems.iter().map(|kind| format!("`{}`: {}", kind.as_str(), kind.title())).collect();
        let content = ContentBuilder::new().schema(Some(schema)).build();
        ResponseBuilder::new().description(words.join(". ") + ".").content(refusal::MEDIA_TYPE, content).build()
    }

    /// A type that an answer is made of.
    pub(super) fn knows<T: ToSchema>(mut self) -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        schemas.push((T::name().into_owned(), T::schema()));
        self.schemas.extend(schemas);
        self
    }
}

fn by_status(problems: &[ProblemType]) -> BTreeMap<u16, Vec<ProblemType>> {
    let mut by_status: BTreeMap<u16, Vec<ProblemType>> = BTreeMap::new();
    for problem in ProblemType::ALL.into_iter().filter(|kind| problems.contains(kind)) {
        by_status.entry(problem.status()).or_default().push(problem);
    }
    by_status
}

fn shared_name(problems: &[ProblemType]) -> String {
    problems.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join("_or_")
}

fn of_types(schema: RefOr<Schema>, problems: &[ProblemType]) -> RefOr<Schema> {
    let types =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(problems.iter().map(|kind| kind.uri())));
    AllOfBuilder::new().item(schema).item(ObjectBuilder::new().property("type", types)).into()
}

pub(super) fn reference(name: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(name))
}
