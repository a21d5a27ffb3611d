// Written as for Twilio: it knows nothing of Parley.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sort"
	"time"

	"github.com/twilio/twilio-go/client"
	conversations "github.com/twilio/twilio-go/rest/conversations/v1"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func failed(err error) []int {
	var refused *client.TwilioRestError
	if errors.As(err, &refused) {
		return []int{refused.Status, refused.Code}
	}
	return nil
}

func main() {
	name := os.Getenv("SCENARIO_NAME")
	token := os.Getenv("TWILIO_AUTH_TOKEN")
	base := &client.Client{Credentials: client.NewCredentials(os.Getenv("TWILIO_ACCOUNT_SID"), token)}
	base.SetAccountSid(os.Getenv("TWILIO_ACCOUNT_SID"))
	// The whole SDK is all products of Twilio, and takes minutes to compile: this is its part for Conversations.
	api := conversations.NewApiServiceWithClient(base)

	events := make(chan []any, 10)
	validator := client.NewRequestValidator(token)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.RequestURI()
		check(r.ParseForm())
		params := map[string]string{}
		for key := range r.PostForm {
			params[key] = r.PostForm.Get(key)
		}
		valid := validator.Validate("http://"+r.Host+query, params, r.Header.Get("X-Twilio-Signature"))
		events <- []any{params["EventType"], params["FriendlyName"], valid}
	}))
	hook := "http://" + listener.Addr().String() + "/hook?name=" + url.QueryEscape(name)
	config := &conversations.UpdateConfigurationWebhookParams{}
	config.SetMethod("POST").SetPostWebhookUrl(hook).SetFilters([]string{"onConversationAdded", "onConversationUpdated"})
	hooks, err := api.UpdateConfigurationWebhook(config)
	check(err)

	attributes := fmt.Sprintf(`{"name":%q}`, name)
	create := &conversations.CreateConversationParams{}
	create.SetFriendlyName(name).SetUniqueName(name).SetAttributes(attributes).SetState("inactive")
	create.SetDateCreated(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)).SetDateUpdated(time.Date(2026, 1, 3, 3, 4, 5, 0, time.UTC))
	create.SetMessagingServiceSid("MG0123456789abcdef0123456789abcdef").SetTimersInactive("PT5M").SetTimersClosed("P1D")
	create.SetBindingsEmailAddress("support@example.com").SetBindingsEmailName(name).SetXTwilioWebhookEnabled("true")
	created, err := api.CreateConversation(create)
	check(err)
	webhook := <-events

	byName, err := api.FetchConversation(url.PathEscape(name))
	check(err)
	update := &conversations.UpdateConversationParams{}
	update.SetFriendlyName(name + " again").SetState("active")
	updated, err := api.UpdateConversation(*created.Sid, update)
	check(err)
	for i := 1; i <= 6; i++ {
		row := &conversations.CreateConversationParams{}
		_, err := api.CreateConversation(row.SetFriendlyName(fmt.Sprintf("row %d", i)))
		check(err)
	}
	list := &conversations.ListConversationParams{}
	all, err := api.ListConversation(list.SetPageSize(2))
	check(err)
	close := &conversations.UpdateConversationParams{}
	_, err = api.UpdateConversation(*created.Sid, close.SetState("closed"))
	check(err)
	byState := &conversations.ListConversationParams{}
	closed, err := api.ListConversation(byState.SetState("closed"))
	check(err)
	byDate := &conversations.ListConversationParams{}
	early, err := api.ListConversation(byDate.SetEndDate("2026-01-02"))
	check(err)
	_, missing := api.FetchConversation("CH00000000000000000000000000000000")
	rename := &conversations.UpdateConversationParams{}
	_, refused := api.UpdateConversation(*created.Sid, rename.SetFriendlyName("x"))

	timers := []string{}
	for key := range (*created.Timers).(map[string]any) {
		timers = append(timers, key)
	}
	sort.Strings(timers)
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"created":  []string{*created.FriendlyName, *created.UniqueName, *created.Attributes, *created.State, *created.MessagingServiceSid},
		"dates":    created.DateCreated.UTC().Format("2006-01-02T15:04:05.000Z"),
		"timers":   timers,
		"byName":   *byName.Sid == *created.Sid,
		"updated":  []string{*updated.FriendlyName, *updated.State},
		"listed":   len(all),
		"closed":   len(closed),
		"early":    len(early),
		"filters":  *hooks.Filters,
		"webhook":  webhook,
		"notFound": failed(missing),
		"refused":  failed(refused),
	}))
}
