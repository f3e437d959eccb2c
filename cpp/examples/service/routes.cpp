#include "routes.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include <httplib.h>

#include "questions.hpp"

namespace service {
namespace {

constexpr const char* kJson = "application/json";

void answer(httplib::Response& response, int status, const Json& body) {
  response.status = status;
  response.set_content(body.dump(-1, ' ', false, Json::error_handler_t::replace), kJson);
}

void answer_error(httplib::Response& response, int status, const std::string& message) {
  answer(response, status, Json{{"error", {{"status", status}, {"message", message}}}});
}

/// Refuses lists in lists in lists, which no request has and whose levels cost memory that no limit counts, and members
/// that stand twice, of which the parser would keep the last.
Json parsed(const std::string& text) {
  constexpr int kMostDepth = 8;
  std::vector<std::set<std::string>> members;  // of the objects that are open
  const auto check = [&](int depth, Json::parse_event_t event, const Json& value) {
    if (depth > kMostDepth) throw Refusal(400, "the body is nested too deeply");
    if (event == Json::parse_event_t::object_start) members.emplace_back();
    if (event == Json::parse_event_t::object_end) members.pop_back();
    if (event == Json::parse_event_t::key && !members.back().insert(value.get<std::string>()).second) {
      throw Refusal(400, "'" + value.get<std::string>() + "' stands twice in an object");
    }
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::exception& error) {
    throw Refusal(400, std::string("the body is no JSON: ") + error.what());
  }
}

/// The media type of a body, in small letters.
std::string media_type(const httplib::Request& request) {
  std::string type = request.get_header_value("Content-Type");
  type.resize(std::min(type.find(';'), type.size()));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
  return type;
}

bool has_body(const httplib::Request& request) {
  return request.has_header("Content-Length") || request.has_header("Transfer-Encoding");
}

/// The text of a body of at most `max_body` bytes. httplib's own limit is that of Content-Length, which a body that
/// comes in chunks does not have and which counts what is packed. A longer one is read to its end and thrown away: the
/// connection's next request stands behind it.
std::string received(const httplib::Request& request, httplib::Response& response, std::size_t max_body,
                     const httplib::ContentReader& read) {
  if (!has_body(request)) throw Refusal(411, "a body needs its Content-Length");
  std::string body;
  bool fits = true;
  const auto take = [&](const char* data, std::size_t size) {
    fits = fits && size <= max_body - body.size();
    if (fits) body.append(data, size);
    return true;
  };
  const bool is_form = request.is_multipart_form_data();
  const bool came = is_form ? read([](const httplib::MultipartFormData&) { return true; }, take) : read(take);
  if (!fits || response.status == 413) throw Refusal(413, "the body is larger than this service accepts");
  if (!came) throw Refusal(400, "the body cannot be read");
  return body;
}

Json body_of(const httplib::Request& request, const std::string& text) {
  if (media_type(request) != kJson) {
    throw Refusal(415, std::string("the body must be JSON: send Content-Type: ") + kJson);
  }
  return parsed(text);
}

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

/// {single: id} of GET becomes {plural: [id]}; numbers and truth values are read as JSON, ids as the model's are.
Json body_of_get(const httplib::Request& request, const ServedModel& model, const char* single, const char* plural) {
  const bool is_user = std::string(single) == "user";
  const auto kind = (is_user ? model.record().user_ids : model.record().item_ids).kind;
  Json body = Json::object();
  for (const auto& [name, text] : request.params) {
    const bool is_id = name == single;
    const std::string member = is_id ? plural : name;
    if (!is_utf8(text)) throw Refusal(400, "parameter '" + name + "' is no UTF-8");
    if (name == plural) throw Refusal(400, "parameter '" + name + "': send one '" + single + "', or a list with POST");
    if (body.contains(member)) throw Refusal(400, "parameter '" + name + "': send one, or a list with POST");
    if (is_id && kind == matfac::IdsView::Kind::strings) {
      body[member] = Json::array({text});
      continue;
    }
    const Json value = Json::parse(text, nullptr, false);
    if (is_id && !value.is_number_integer()) {
      throw Refusal(400, "parameter '" + name + "': the model's ids are whole numbers, not '" + text + "'");
    }
    if (value.is_discarded()) {
      throw Refusal(400, "parameter '" + name + "' is no JSON (10, true, [1,2], [\"a\"]): '" + text + "'");
    }
    body[member] = is_id ? Json::array({value}) : value;
  }
  if (!body.contains(plural)) throw Refusal(400, std::string("parameter '") + single + "' is missing: an id");
  return body;
}

std::string no_such(const httplib::Request& request) { return "there is no " + request.method + " " + request.path; }

class Routes {
 public:
  Routes(ModelHolder& holder, Metrics& metrics, const Options& options)
      : holder_(holder), metrics_(metrics), options_(options) {}

  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;
  using BodyHandler = std::function<void(const httplib::Request&, httplib::Response&, const httplib::ContentReader&)>;
  /// What is asked with a body, its text.
  using TextHandler = std::function<void(const httplib::Request&, httplib::Response&, const std::string&)>;

  BodyHandler with_body(const std::string& route, TextHandler handler) {
    return [this, route, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response,
                                                       const httplib::ContentReader& read) {
      const auto handle = [&](const httplib::Request&, httplib::Response&) {
        handler(request, response, received(request, response, options_.max_body, read));
      };
      counted(route, handle)(request, response);
    };
  }

  /// What is asked of a path that is not there: its body, if there is one, is not to be collected either.
  BodyHandler nowhere() {
    return [this](const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read) {
      const auto handle = [&](const httplib::Request&, httplib::Response&) {
        if (has_body(request)) received(request, response, options_.max_body, read);
        throw Refusal(404, no_such(request));
      };
      counted("other", handle)(request, response);
    };
  }

  /// Whatever the handler throws becomes an answer, and every answer is counted.
  Handler counted(const std::string& route, Handler handler) {
    return [this, route, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
      const auto start = std::chrono::steady_clock::now();
      try {
        handler(request, response);
      } catch (const Refusal& refusal) {
        answer_error(response, refusal.status(), refusal.message());
      } catch (const matfac::InvalidArgument& error) {
        answer_error(response, 400, error.what());
      } catch (const std::exception& error) {
        answer_error(response, 500, error.what());
      }
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      metrics_.count_request(route, response.status, seconds.count());
    };
  }

  using Question = Json (*)(const ServedModel&, Request&);

  TextHandler post(Question ask) {
    return [this, ask](const httplib::Request& request, httplib::Response& response, const std::string& text) {
      const auto model = holder_.current();
      const Json body = body_of(request, text);
      Request read(body, options_);
      answer(response, 200, ask(*model, read));
    };
  }

  Handler get(Question ask, const char* single, const char* plural) {
    return [this, ask, single, plural](const httplib::Request& request, httplib::Response& response) {
      const auto model = holder_.current();
      const Json body = body_of_get(request, *model, single, plural);
      Request read(body, options_, {plural, single});
      answer(response, 200, ask(*model, read));
    };
  }

  void reload(const httplib::Request& request, httplib::Response& response, const std::string& text) {
    const bool has_token = !options_.reload_token.empty();
    if (!has_token && !options_.is_loopback()) {
      throw Refusal(403, "/reload is closed on this address: set MATFAC_RELOAD_TOKEN, or send SIGHUP");
    }
    if (has_token && !is_same(request.get_header_value("Authorization"), "Bearer " + options_.reload_token)) {
      throw Refusal(401, "/reload needs its token: send Authorization: Bearer ...");
    }
    const Json body = body_of(request, text);
    Request read(body, options_);
    const std::string file = read.text("file");
    read.refuse_unread();
    try {
      answer(response, 200, describe(*holder_.reload(file)));
    } catch (const matfac::FileError& error) {
      throw Refusal(409, std::string("the model in use stays: ") + error.what());
    }
  }

  void metrics(httplib::Response& response) {
    response.set_content(metrics_.text(*holder_.current()), "text/plain; version=0.0.4; charset=utf-8");
  }

  ModelHolder& holder() { return holder_; }

 private:
  /// Takes the same time wherever the first difference is.
  static bool is_same(const std::string& a, const std::string& b) {
    unsigned difference = a.size() == b.size() ? 0 : 1;
    for (std::size_t i = 0; i < b.size(); ++i) {
      difference |= static_cast<unsigned char>(b[i]) ^ static_cast<unsigned char>(i < a.size() ? a[i] : '\0');
    }
    return difference == 0;
  }

  ModelHolder& holder_;
  Metrics& metrics_;
  const Options& options_;
};

}  // namespace

void add_routes(httplib::Server& server, ModelHolder& holder, Metrics& metrics, const Options& options) {
  const auto routes = std::make_shared<Routes>(holder, metrics, options);
  server.Get("/recommend", routes->counted("/recommend", routes->get(recommend, "user", "users")));
  server.Get("/similar", routes->counted("/similar", routes->get(similar, "item", "items")));
  const auto post = [&](const char* path, Routes::Question ask) {
    server.Post(path, routes->with_body(path, routes->post(ask)));
  };
  post("/recommend", recommend);
  post("/predict", predict);
  post("/similar", similar);
  post("/fold-in", fold_in);
  server.Get("/health", routes->counted("/health", [](const auto&, auto& response) {
    answer(response, 200, Json{{"status", "ok"}});
  }));
  server.Get("/model", routes->counted("/model", [routes](const auto&, auto& response) {
    answer(response, 200, describe(*routes->holder().current()));
  }));
  server.Get("/metrics",
             routes->counted("/metrics", [routes](const auto&, auto& response) { routes->metrics(response); }));
  server.Post("/reload", routes->with_body("/reload", [routes](const auto& request, auto& response, const auto& text) {
    routes->reload(request, response, text);
  }));
  const auto nowhere = routes->nowhere();  // last, behind all paths
  server.Post(".*", nowhere).Put(".*", nowhere).Patch(".*", nowhere).Delete(".*", nowhere);
  server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
    // Whole answers only, which HTTP allows: httplib would cut any answer, and repeat its parts a thousand times. The
    // request is httplib's own, not const.
    const_cast<httplib::Request&>(request).ranges.clear();
    if (request.method != "PRI") return httplib::Server::HandlerResponse::Unhandled;
    response.status = 400;  // the one method whose body no handler can refuse
    return httplib::Server::HandlerResponse::Handled;
  });
  // What has not come as far as a route: unknown paths, bodies beyond the limit, requests that are no HTTP.
  server.set_error_handler([&metrics](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    metrics.count_request("other", response.status, 0);
    const std::string rule = response.status == 404   ? no_such(request)
                             : response.status == 413 ? "the body is larger than this service accepts"
                                                      : "the request cannot be served";
    answer_error(response, response.status, rule);
  });
  server.set_payload_max_length(options.max_body);
}

}  // namespace service
