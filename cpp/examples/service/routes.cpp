#include "routes.hpp"

#include <chrono>
#include <functional>

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

/// Refuses lists in lists in lists: no request has them, and each level costs memory that no limit counts.
Json parsed(const std::string& text) {
  constexpr int kMostDepth = 8;
  const auto shallow = [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMostDepth) throw Refusal(400, "the body is nested too deeply");
    return true;
  };
  try {
    return Json::parse(text, shallow);
  } catch (const Json::exception& error) {
    throw Refusal(400, std::string("the body is no JSON: ") + error.what());
  }
}

/// The body of a POST.
Json body_of(const httplib::Request& request) {
  if (!request.get_header_value("Content-Type").starts_with(kJson)) {
    throw Refusal(415, std::string("the body must be JSON: send Content-Type: ") + kJson);
  }
  return parsed(request.body);
}

/// {single: id} of GET becomes {plural: [id]}; numbers and truth values are read as JSON, ids as the model's are.
Json body_of_get(const httplib::Request& request, const ServedModel& model, const char* single, const char* plural) {
  const bool is_user = std::string(single) == "user";
  const auto kind = (is_user ? model.record().user_ids : model.record().item_ids).kind;
  Json body = Json::object();
  for (const auto& [name, text] : request.params) {
    const bool is_id = name == single;
    if (is_id && kind == matfac::IdsView::Kind::strings) {
      body[plural] = Json::array({text});
      continue;
    }
    const Json value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) throw Refusal(400, "parameter '" + name + "' cannot be read: " + text);
    if (is_id) {
      body[plural] = Json::array({value});
    } else {
      body[name] = value;
    }
  }
  return body;
}

class Routes {
 public:
  Routes(ModelHolder& holder, Metrics& metrics, const Options& options)
      : holder_(holder), metrics_(metrics), options_(options) {}

  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

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

  Handler post(Question ask) {
    return [this, ask](const httplib::Request& request, httplib::Response& response) {
      const auto model = holder_.current();
      const Json body = body_of(request);
      Request read(body, options_);
      answer(response, 200, ask(*model, read));
    };
  }

  Handler get(Question ask, const char* single, const char* plural) {
    return [this, ask, single, plural](const httplib::Request& request, httplib::Response& response) {
      const auto model = holder_.current();
      const Json body = body_of_get(request, *model, single, plural);
      Request read(body, options_);
      answer(response, 200, ask(*model, read));
    };
  }

  void reload(const httplib::Request& request, httplib::Response& response) {
    const bool has_token = !options_.reload_token.empty();
    if (!has_token && !options_.is_loopback()) {
      throw Refusal(403, "/reload is closed on this address: set MATFAC_RELOAD_TOKEN, or send SIGHUP");
    }
    if (has_token && !is_same(request.get_header_value("Authorization"), "Bearer " + options_.reload_token)) {
      throw Refusal(401, "/reload needs its token: send Authorization: Bearer ...");
    }
    const Json body = body_of(request);
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
  server.Post("/recommend", routes->counted("/recommend", routes->post(recommend)));
  server.Post("/predict", routes->counted("/predict", routes->post(predict)));
  server.Post("/similar", routes->counted("/similar", routes->post(similar)));
  server.Post("/fold-in", routes->counted("/fold-in", routes->post(fold_in)));
  server.Get("/health", routes->counted("/health", [](const auto&, auto& response) {
    answer(response, 200, Json{{"status", "ok"}});
  }));
  server.Get("/model", routes->counted("/model", [routes](const auto&, auto& response) {
    answer(response, 200, describe(*routes->holder().current()));
  }));
  server.Get("/metrics",
             routes->counted("/metrics", [routes](const auto&, auto& response) { routes->metrics(response); }));
  server.Post("/reload", routes->counted("/reload", [routes](const auto& request, auto& response) {
    routes->reload(request, response);
  }));
  // What has not come as far as a route: unknown paths, bodies beyond the limit, requests that are no HTTP.
  server.set_error_handler([&metrics](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    metrics.count_request("other", response.status, 0);
    const std::string rule = response.status == 404   ? "there is no " + request.method + " " + request.path
                             : response.status == 413 ? "the body is larger than this service accepts"
                                                      : "the request cannot be served";
    answer_error(response, response.status, rule);
  });
  server.set_payload_max_length(options.max_body);
}

}  // namespace service
